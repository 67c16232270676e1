"""The benchmarks' own arithmetic and words; and that each of them can be imported."""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks import chart, harness, http, pairs, primitives, report, spool
from benchmarks.harness import ROOT, Missing, Spread, Trouble
from benchmarks.http import Load, Measure, Result

BENCHMARKS = Path(harness.__file__).parent
MODULES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem != "__init__")
SAID = '{"requests": 3000, "microseconds": 1500000, "p99_us": 2500, "connect": 1, "read": 2, '
SAID += '"write": 3, "status": 4, "timeout": 5}'


@pytest.fixture
def result() -> Result:
    """Two rounds of one row: ours twice, then three times as fast as uWSGI."""
    slow, fast = Measure(100.0, 1.0, 0, 0), Measure(200.0, 1.0, 0, 0)
    rounds = {"muleteer": [fast, replace(fast, per_second=300.0)], "uwsgi": [slow, slow]}
    return Result(http.ROWS[0], rounds)


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_imported(name: str) -> None:
    """Importing a benchmark starts nothing and fails nowhere."""
    assert importlib.import_module(f"benchmarks.{name}").__doc__


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("**/*.py")), ids=lambda path: path.name)
def test_a_benchmark_is_python_and_says_what_it_is(path: Path) -> None:
    """The applications too, which only their servers may import."""
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_a_spread_is_least_median_and_most() -> None:
    """In whatever order the values come."""
    assert Spread.of([3.0, 1.0, 10.0, 2.0]) == Spread(1.0, 2.5, 10.0)
    assert str(Spread.of([3.0, 1.0, 2.0])) == "2.00 (1.00-3.00)"


def test_nothing_measured_is_no_spread() -> None:
    """No values raise, and say why."""
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])


def test_a_ratio_is_of_neighbours_in_time() -> None:
    """Each round is divided by the same round of the base, never by a mean."""
    assert harness.ratios([10.0, 40.0], [10.0, 20.0]) == [1.0, 2.0]


def test_a_round_in_which_the_base_did_nothing_has_no_ratio() -> None:
    """It is left out instead of dividing by zero."""
    assert harness.ratios([10.0, 40.0], [0.0, 20.0]) == [2.0]


def test_rounds_that_do_not_match_are_refused() -> None:
    """A missing round would pair the wrong neighbours."""
    with pytest.raises(ValueError, match="shorter"):
        harness.ratios([1.0, 2.0], [1.0])


def test_a_table_is_markdown() -> None:
    """The first column lies left, the others right."""
    text = harness.table(["row", "ours"], [["hello", "2.00"]])
    assert text == "| row | ours |\n| --- | ---: |\n| hello | 2.00 |"


@pytest.mark.parametrize(
    ("number", "words"), [(1234567.8, "1,234,568"), (99.5, "99.5"), (3.14159, "3.14"), (0, "0")]
)
def test_a_number_is_written_for_people(number: float, words: str) -> None:
    """Large ones with commas, small ones with three digits."""
    assert harness.thousands(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(2.5, "2.5 s"), (0.0131, "13.1 ms"), (1.07e-6, "1.07 µs"), (1.18e-7, "118 ns"), (0, "0 ns")],
)
def test_a_time_is_written_in_its_own_unit(seconds: float, words: str) -> None:
    """From nanoseconds to seconds, with three digits."""
    assert harness.duration(seconds) == words


def test_a_choice_keeps_its_own_order_and_refuses_what_is_not_there() -> None:
    """An unknown name is told beside the known ones."""
    assert harness.chosen(["a", "b", "c"], "c, a") == ["a", "c"]
    assert harness.chosen(["a", "b"], None) == ["a", "b"]
    with pytest.raises(Missing, match="unknown: d; there are: a, b"):
        harness.chosen(["a", "b"], "a,d")


def test_what_wrk_printed_becomes_a_measure() -> None:
    """Lost connections and bad answers are errors; waiting is counted apart."""
    measure = Measure.parse(f"Running…\nRESULT {SAID}\n")
    assert measure == Measure(per_second=2000.0, p99_ms=2.5, errors=10, timeouts=5)


def test_no_request_has_no_price() -> None:
    """A server that answered nobody is not one that answers dearly: there is no ratio."""
    idle = Measure.parse("RESULT " + SAID.replace("3000", "0"), cpu_seconds=0.5)
    assert (idle.per_second, http.THRIFT.value(idle)) == (0.0, 0.0)


def test_a_silent_wrk_is_trouble() -> None:
    """Its last words are in the message."""
    with pytest.raises(Trouble, match="unable to connect"):
        Measure.parse("unable to connect to 127.0.0.1")


def test_a_row_is_told_as_ratios_to_uwsgi(result: Result) -> None:
    """uWSGI's own cell is its speed, ours the ratio of each round."""
    assert result.cell("muleteer") == "2.50 (2.00-3.00)"
    assert result.cell("uwsgi") == "100/s"
    assert result.cell("granian") == "-"


def test_a_cell_with_errors_is_marked(result: Result) -> None:
    """A fast server that answers wrongly does not look like a fast server."""
    result.rounds["muleteer"][0] = Measure(900.0, 1.0, errors=7, timeouts=2)
    assert result.cell("muleteer").endswith("**! 7 errors, 2 timeouts**")


def test_starving_clients_are_told(result: Result) -> None:
    """A server that serves two clients and lets thirty wait is not fast: it is said beside it."""
    result.waiting["uwsgi"] = 30
    assert result.cell("uwsgi") == "100/s **! 30 clients starve**"


def test_the_cpu_time_of_a_request_is_told_beside_its_speed() -> None:
    """More requests for a second of the server's own processors is better."""
    measures = [Measure.parse(f"RESULT {SAID}", seconds) for seconds in (0.3, 0.6)]
    assert [measure.cpu_us for measure in measures] == [pytest.approx(100), pytest.approx(200)]
    found = Result(http.ROWS[0], {"muleteer": measures[:1], "uwsgi": measures[1:]})
    assert found.ratio("muleteer", http.THRIFT) == Spread.of([pytest.approx(2.0)])
    assert found.cell("uwsgi", http.THRIFT).startswith("5,000/CPU s")


def test_without_uwsgi_speeds_are_told(result: Result) -> None:
    """There is nothing to divide by, so there is no ratio."""
    del result.rounds["uwsgi"]
    assert result.cell("muleteer") == "250/s"


def test_the_closing_socket_is_the_base_where_the_other_did_not_run(result: Result) -> None:
    """A row without keep-alive is compared with uWSGI's http-socket."""
    result.rounds["uwsgi-http"] = result.rounds.pop("uwsgi")
    assert result.base() == "uwsgi-http"
    assert result.cell("muleteer") == "2.50 (2.00-3.00)"


def test_the_table_has_a_line_per_row_and_a_column_per_server(result: Result) -> None:
    """Servers that ran nowhere have no column."""
    head, _, line = http.render([result]).splitlines()
    assert head == "| requests/s, as a ratio to uWSGI's | muleteer | uwsgi |"
    assert line == "| hello, keep-alive, bare headers | 2.50 (2.00-3.00) | 100/s |"


def test_the_json_holds_every_round(result: Result) -> None:
    """A machine gets the figures and not only their summary."""
    found = http.as_json([result], Load(2, 32))
    ours = found["rows"]["hello"]["muleteer"]
    assert [measure["per_second"] for measure in ours["rounds"]] == [200.0, 300.0]
    assert ours["ratio"] == {"least": 2.0, "median": 2.5, "most": 3.0}


def test_a_browser_sends_fifteen_headers() -> None:
    """What the row's title says."""
    assert len(http.BROWSER) == 15
    assert "Cookie" in http.BROWSER


def test_each_row_has_a_name_of_its_own() -> None:
    """`--rows` tells them apart by it, and the chart by their titles."""
    assert len({row.name for row in http.ROWS}) == len(http.ROWS)
    assert len({row.title for row in http.ROWS}) == len(http.ROWS)


def test_a_row_names_who_takes_part() -> None:
    """Without keep-alive uWSGI's closing socket alone; with threads and behind nginx, the few."""
    names = {row.name: [one.name for one in row.contenders()] for row in http.ROWS}
    assert "uwsgi" in names["hello"]
    assert "uwsgi" not in names["close"]
    assert names["threads"] == ["muleteer", "uwsgi", "gunicorn-gthread"]
    assert names["nginx"] == ["muleteer", "uwsgi"]


# -- primitives ------------------------------------------------------------------------------------


BOTH = ("muleteer", "uwsgi")


def primitive(figure: str = "median") -> pairs.Result:
    row = pairs.Row("call", "a call", lambda node: {}, figure)
    result = pairs.Result(row)
    for ours, base in ((1e-6, 2e-6), (2e-6, 8e-6), (1e-6, 3e-6)):
        result.add("muleteer", {"median": ours, "p99": 10 * ours})
        result.add("uwsgi", {"median": base, "p99": 10 * base})
    return result


def test_half_the_time_is_twice_as_fast() -> None:
    """uWSGI's time by ours of the same round: more is better for us."""
    assert primitive().ratio() == Spread(2.0, 3.0, 4.0)
    assert primitive().cells(BOTH) == ["a call", "3.00 (2.00-4.00)", "1 µs", "3 µs"]


def test_a_row_takes_its_own_figure_of_a_probe() -> None:
    """Two rows can share a probe: one its middle, the other its p99."""
    assert primitive("p99").cells(BOTH)[2:] == ["10 µs", "30 µs"]


def test_what_a_server_cannot_do_has_no_ratio() -> None:
    """uWSGI refuses a message of 1 MB: our time stands alone."""
    result = pairs.Result(primitives.ROWS[0])
    result.add("muleteer", {"median": 0.5})
    result.add("uwsgi", {})
    assert result.cells(BOTH)[1:] == ["-", "500 ms", "-"]
    assert pairs.as_json([result], "Time")["rows"][result.row.name]["values"] == {"muleteer": [0.5]}


def test_jitter_is_how_far_a_pause_is_from_the_period() -> None:
    """Each timer has its own pauses; early is as wrong as late."""
    ticks = [(1, 10.0), (2, 10.5), (1, 11.0), (2, 11.25), (1, 12.0)]
    assert primitives.jitter(ticks, 1.0) == {"median": 0.25}


def test_one_tick_tells_nothing_of_jitter() -> None:
    """A pause has two ends."""
    assert primitives.jitter([(1, 10.0), (2, 11.0)], 1.0) == {}


def test_each_primitive_has_a_name_and_a_title_of_its_own() -> None:
    """`--rows` tells them apart by the one, the chart by the other."""
    rows = (*primitives.ROWS, primitives.TIMER_ROW, primitives.MANY_ROW)
    assert len({row.name for row in rows}) == len({row.title for row in rows}) == len(rows)


def _spooled(**more: float) -> spool.Measure:
    known = {"enqueue_us": 10.0, "drain_per_s": 100.0, "drain_cpu_us": 20.0, "live_per_s": 50.0}
    return spool.Measure(**{**known, "latency_ms": 1.0, "worst_ms": 2.0, **more})


def test_a_spool_figure_says_how_many_times_better_it_is() -> None:
    """More tasks per second are better, and fewer microseconds; nothing measured is no ratio."""
    faster = _spooled(enqueue_us=5.0, drain_per_s=300.0)
    ratios = {one.title: one.ratio(faster, _spooled()) for one in spool.FIGURES}
    assert ratios["drain of a filled queue"] == 3.0
    assert ratios["enqueue"] == 2.0
    assert ratios["start latency, median"] == 1.0
    assert spool.FIGURES[0].ratio(_spooled(drain_per_s=0.0), _spooled()) is None


def test_records_are_those_of_the_phase(tmp_path: Path) -> None:
    """Stragglers of an earlier phase, and half a record at the end, are left out."""
    whole = [(1.0, 1.5, 0.0), (9.0, 9.25, 0.5)]
    data = b"".join(spool.RECORD.pack(*one) for one in whole)
    (tmp_path / "records").write_bytes(data + b"half")
    started = spool.Records(tmp_path).wait_for(1, since=5.0, patience_s=1.0)
    assert (list(started.at), started.latencies_ms()) == ([9.25], [250.0])
    with pytest.raises(Trouble, match="no task started"):
        spool.Records(tmp_path).wait_for(1, since=10.0, patience_s=0.0)


def test_a_stack_of_other_programs_has_a_column_and_its_own_ratio() -> None:
    """It stands beside uWSGI, which stays the table's measure."""
    result = primitive()
    for value in (3e-6, 3e-6, 3e-6):
        result.add("gunicorn, celery, redis", {"median": value})
    assert result.ratio("gunicorn, celery, redis") == Spread(1.5, 3.0, 3.0)
    head = pairs.render([result]).splitlines()[0]
    assert head == "|  | times less than uWSGI | muleteer | uwsgi | gunicorn, celery, redis |"


# -- the page and its picture ----------------------------------------------------------------------


def test_twice_as_fast_lies_as_far_from_the_line_as_half() -> None:
    """The scale is logarithmic, and what is beyond its ends lies at them."""
    one = chart.place(1.0)
    assert chart.place(2.0) - one == pytest.approx(one - chart.place(0.5))
    assert chart.place(1000.0) == chart.LEFT + chart.WIDTH
    assert chart.place(0.0) == chart.LEFT


def test_a_bar_says_whether_we_are_ahead() -> None:
    """By its colour and by its words; titles may hold anything."""
    bars = [chart.Bar("a < b", Spread(0.4, 0.5, 0.6)), chart.Bar("c", Spread(1, 2, 3))]
    picture = chart.svg("Speed", [chart.Group("HTTP", bars)])
    assert 'class="behind"' in picture
    assert 'class="ahead"' in picture
    assert "a &lt; b" in picture
    assert "2.00 (1.00-3.00)" in picture
    ElementTree.fromstring(picture)


def test_a_chart_has_the_rows_that_have_a_ratio() -> None:
    """What uWSGI cannot do is in the table only."""
    alone = pairs.Result(pairs.Row("alone", "alone", lambda node: {}))
    found = pairs.as_json([primitive(), alone], "Time")
    assert report.groups_of(found) == [
        chart.Group("Time", [chart.Bar("a call", Spread(2.0, 3.0, 4.0))])
    ]


def test_a_table_replaces_the_one_of_its_name() -> None:
    """The words around it stay, and so do other tables."""
    page = "# A\n<!-- bench one -->\nold\n<!-- end -->\n<!-- bench two -->\nold\n<!-- end -->\n"
    written = report.with_tables(page, {"two": "| new \\1 |\n"})
    assert written == page.replace("two -->\nold", "two -->\n| new \\1 |")
    with pytest.raises(ValueError, match="no place for three"):
        report.with_tables(page, {"three": ""})


def test_the_page_has_a_place_for_every_table() -> None:
    """`make bench` would fail after half an hour otherwise."""
    names = re.findall(r"benchmarks\.([a-z]+) --json", (ROOT / "Makefile").read_text())
    assert names == ["http", "primitives", "spool", "life"]
    assert report.with_tables(report.PAGE.read_text(), dict.fromkeys(names, "table"))
