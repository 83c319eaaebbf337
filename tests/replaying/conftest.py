from tests.log.made import run

__all__ = ["run"]
