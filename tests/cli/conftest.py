import pytest

from spikeloom.cli.main import main


@pytest.fixture
def run(capsys):
    """A function that runs the command and gives exit code, output and complaint."""

    def call(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
