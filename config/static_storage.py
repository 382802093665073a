"""How static files are stored for serving: names with a hash of the content, compressed beside the plain form."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    # else a module would be loaded twice: under its hashed name by the page, under its plain one by another module
    support_js_module_import_aggregation = True
