"""A browser for the tests of pages, and the folder of what it saves."""

import pytest

from tests.support import browsers


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    driver = browsers.started(downloads)
    yield driver
    driver.quit()
