import json


def test_what_is_found_and_what_is_not(run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, output, _ = run("doctor", "--json")
    tools = {tool["name"]: tool for tool in json.loads(output)}
    assert code == 1
    assert tools["icarus"] == {
        "name": "icarus",
        "found": None,
        "remedy": "apt-get install iverilog",
    }
    assert tools["amaranth"]["found"].startswith("0.5")
    assert set(tools) >= {"verilator", "yosys", "nextpnr-ice40", "icepack", "cocotb"}


def test_the_table_names_what_to_type(run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    _, output, _ = run("doctor")
    assert "apt-get install iverilog" in output
