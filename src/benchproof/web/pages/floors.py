"""What this machine's noise does to a verdict: the A/A studies that are kept beside the runs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof.errors import StoreError
from benchproof.reporters import calibration
from benchproof.store import calibrations
from benchproof.web.site import Site


def page(site: Site, _request: Request) -> Response:
    """Every study, the newest first; what cannot be read is a line."""
    try:
        found, trouble = calibrations.known(site.home), ""
    except StoreError as error:
        found, trouble = [], str(error)
    studies = [(each, [calibration.texts(each, study) for study in each.studies]) for each in reversed(found)]
    return site.page(
        "floors.html",
        heads=calibration.HEAD,
        legend=calibration.LEGEND,
        studies=studies,
        below={each.run_id: list(calibration.below([each])) for each in found},
        trouble=trouble,
    )
