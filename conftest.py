"""Settings of pytest that notebooks need."""


def pytest_collectstart(collector):
    """Leave stderr out of nbval's comparison: progress bars differ each time."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
