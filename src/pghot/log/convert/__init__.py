"""Access logs from the traces of other tools: perf, valgrind's lackey, CSV."""

from __future__ import annotations

from pghot.log.convert.convert import ConvertReport, convert
from pghot.log.convert.formats import FORMATS
from pghot.log.convert.placement import FAST_SHARE
from pghot.log.convert.samples import Llc

__all__ = ["FAST_SHARE", "FORMATS", "ConvertReport", "Llc", "convert"]
