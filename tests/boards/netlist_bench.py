"""Testbench of a board's netlist: a host on the serial line, and an eye on the lamps."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import Timer
from cocotbext.uart import UartSink, UartSource

from spikeloom.reference.link_codec import decode_events
from spikeloom.reference.link_frames import Answer, Frame, FrameReader


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def answers(dut) -> None:
    """Sends the bytes of ``case.json`` and reads as many events as that expects.

    The case names button, lamps and clock, and says the level of the first when they are at rest.
    """
    case = json.loads(Path(os.environ["SPIKELOOM_CASE"]).read_text(encoding="utf-8"))
    rest = case["rest"]
    button, *lamps = (getattr(dut, f"{name}__io") for name in case["pins"])

    def lit() -> list[bool]:
        return [int(lamp.value) != rest for lamp in lamps]

    button.value = rest
    getattr(dut, f"{case['clock']}__io").value = 0
    source = UartSource(dut.uart_0__rx__io, baud=case["baud"])
    sink = UartSink(dut.uart_0__tx__io, baud=case["baud"])
    await Timer(200, "us")
    assert lit() == [False, False]

    await source.write(bytes(case["send"]))
    reader = FrameReader(1000)
    events: list[list[int]] = []
    done = []
    while len(events) < len(case["expect"]) or len(done) < 2:
        for answer in reader.feed(bytes(await sink.read(1))):
            if answer.kind == Answer.EVENTS:
                events += decode_events(answer.payload, case["outputs"]).tolist()
            else:
                done.append(answer)
    assert events == case["expect"]
    assert done == [Frame(Answer.DONE, 15), Frame(Answer.DONE, 0)]
    assert reader.broken == 0
    assert lit() == [True, False]

    await source.write(bytes(case["illegal"]))
    await source.wait()
    await Timer(100, "us")  # the answer
    assert lit()[1]
    sink.clear()

    button.value = 1 - rest
    await Timer(1, "us")
    button.value = rest
    await Timer(200, "us")
    assert lit() == [False, False]
    assert sink.empty()
