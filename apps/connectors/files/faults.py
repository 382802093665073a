"""What the operating system refuses, as sentences."""

import errno

from apps.engine.ports import Classification, ConnectorError, Outage

LINKS = {errno.ELOOP, errno.EMLINK, errno.ENOTDIR}
FULL = {errno.ENOSPC, errno.EDQUOT}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def file_fault(error: OSError, name: str, verb: str) -> ConnectorError:
    """The error of a file; `verb` says what was tried ("read"). A full disk is an Outage: nothing was written."""
    what = f"{name} could not be {verb}"
    if error.errno in FULL:
        text = f"{what}: the disk is full. The page is written again once there is room."
        return Outage("disk_full", text, classification=Classification.INTERMITTENT)
    if error.errno in REFUSED:
        text = f"{what}: the operating system does not allow it. Give Flowmend's user the right to this file or folder."
        return ConnectorError("permission_denied", text, classification=Classification.CONNECTION)
    if error.errno in LINKS:
        text = f"{what}: there is a link or a file where a folder is expected, and links are not followed."
        return ConnectorError("link_refused", text, classification=Classification.VALUE)
    if error.errno == errno.ENOENT:
        text = f"{what}: it does not exist."
        return ConnectorError("file_not_found", text, classification=Classification.MISSING)
    if error.errno is None:
        return ConnectorError("not_a_file", f"{what}: it is not a regular file.", classification=Classification.VALUE)
    text = f"{what}: {error.strerror}."
    return ConnectorError("file_failed", text, classification=Classification.INTERMITTENT)
