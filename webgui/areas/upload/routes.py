"""The addresses of uploads. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.upload import pages
from webgui.areas.upload.shapes import UploadAnswer
from webgui.guards import Need
from webgui.route import Route

ROUTES = (
    Route("GET", "/upload", pages.show, Need.OPERATOR),
    Route("POST", "/upload", pages.submit, Need.OPERATOR),
    Route("POST", "/api/v1/upload", pages.api, Need.OPERATOR,
          "Upload DICOM files and ZIPs of them as multipart/form-data; they are routed like what scanners send.", reads=True,
          answer=UploadAnswer),
)  # fmt: skip
