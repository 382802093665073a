"""The webhook connector: records that other applications send by HTTP."""
