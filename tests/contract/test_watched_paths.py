"""roles/watcher.py: which directories are watched for a path, and which paths a change concerns."""

from __future__ import annotations

from pathlib import Path

from muleteer.roles.watcher import directories, look, touched


def watched(*paths: Path) -> set[str]:
    return {path for path, _ in directories(map(str, paths))}


def test_a_file_is_watched_through_its_directory(tmp_path: Path) -> None:
    """Whether it is there or not."""
    (tmp_path / "there").touch()
    assert watched(tmp_path / "there", tmp_path / "missing") == {str(tmp_path)}


def test_a_directory_is_watched_itself_and_from_above(tmp_path: Path) -> None:
    """For what happens in it, and for what happens to it."""
    (tmp_path / "box").mkdir()
    assert watched(tmp_path / "box") == {str(tmp_path), str(tmp_path / "box")}


def test_where_nothing_is_there_the_nearest_directory_is_watched(tmp_path: Path) -> None:
    """A path whose directories are still to come."""
    assert watched(tmp_path / "a" / "b" / "c") == {str(tmp_path)}
    (tmp_path / "a").touch()  # a file in the place of a directory
    assert watched(tmp_path / "a" / "b" / "c") == {str(tmp_path)}


def test_both_ends_of_a_link_are_watched(tmp_path: Path) -> None:
    """The place of the link, and the directory of what it leads to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a").symlink_to(tmp_path / "real" / "a")
    assert watched(tmp_path / "links" / "a") == {str(tmp_path / "real"), str(tmp_path / "links")}


def test_another_directory_of_the_same_name_is_another(tmp_path: Path) -> None:
    """So that a watch on what was there before is not taken for one on it."""
    box, new = tmp_path / "box", tmp_path / "new"
    box.mkdir()
    new.mkdir()
    before = directories([str(box / "file")])
    box.rename(tmp_path / "old")
    new.rename(box)
    assert directories([str(box / "file")]) != before


def test_the_root_can_be_watched() -> None:
    """There is nothing above it."""
    assert watched(Path("/")) == {"/"}


def test_a_change_concerns_its_path_and_the_directory_it_is_in(tmp_path: Path) -> None:
    """Not the directories above that one, nor the neighbours."""
    (tmp_path / "box" / "sub").mkdir(parents=True)
    box, sub = str(tmp_path / "box"), str(tmp_path / "box" / "sub")
    paths = [box, sub, f"{sub}/a", f"{sub}/b"]
    assert touched(paths, {f"{sub}/a"}) == {sub, f"{sub}/a"}
    assert touched(paths, {sub}) == {sub, box}
    assert touched(paths, set()) == set()


def test_a_change_behind_a_link_concerns_the_link(tmp_path: Path) -> None:
    """The kernel names the file, the application named the link."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    assert touched([str(link)], {str(tmp_path / "a")}) == {str(link)}
    assert touched([str(link)], {str(link)}) == {str(link)}


def test_a_file_looks_different_when_it_was_changed_or_replaced(tmp_path: Path) -> None:
    """And the same when it was not."""
    file, new = tmp_path / "file", tmp_path / "new"
    assert look(str(file)) is None
    file.write_text("x")
    new.write_text("x")
    first = look(str(file))
    assert look(str(file)) == first
    file.write_text("xy")
    second = look(str(file))
    assert second != first
    new.replace(file)
    assert look(str(file)) not in (first, second, None)
