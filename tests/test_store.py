"""The packed store: what goes in comes out, by name; equal input gives equal bytes; damage is one clear line."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.core.store import Store, Writer

FILES = ("array.npy", "index.csv", "card.json")
CARD = {"feature": "toy", "level": "frame", "synthetic": False}


def write(
    folder: Path, arrays: dict[str, np.ndarray], dim: int | None = 3, dtype: str = "float32", **card: object
) -> Store:
    with Writer(folder, dim, dtype, CARD | card) as writer:
        for utterance, array in arrays.items():
            writer.append(utterance, array)
    return Store(folder)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {f"u{i}": random.normal(size=(n, 3)).astype("float32") for i, n in enumerate((4, 1, 7))}


def test_frames_come_back_by_name_as_read_only_views(tmp_path, arrays):
    store = write(tmp_path / "s", arrays)
    assert isinstance(store.array, np.memmap)
    for utterance, array in arrays.items():
        np.testing.assert_array_equal(store[utterance], array)
        np.testing.assert_array_equal(store.read(utterance), array)
        assert np.shares_memory(store[utterance], store.array)
    with pytest.raises(ValueError, match="read-only"):
        store["u0"][0, 0] = 1
    assert store.read("u0").flags.writeable


def test_array_is_a_plain_npy_of_all_rows_in_the_order_written(tmp_path, arrays):
    store = write(tmp_path / "s", arrays)
    np.testing.assert_array_equal(np.load(tmp_path / "s" / "array.npy"), np.concatenate(list(arrays.values())))
    assert store.index.to_dict("list") == {"utterance": ["u0", "u1", "u2"], "offset": [0, 4, 5], "length": [4, 1, 7]}
    assert store.utterances == ["u0", "u1", "u2"]
    assert len(store) == 3
    assert "u1" in store
    assert "u9" not in store
    assert (store.card["rows"], store.card["utterances"], store.card["dim"], store.card["dtype"]) == (
        12,
        3,
        3,
        "float32",
    )
    np.testing.assert_array_equal(store.lengths(["u2", "u0"]), [7, 4])


def test_header_has_room_for_any_number_of_rows(tmp_path):
    with Writer(tmp_path / "s", 1, "float32", CARD) as writer:
        for i in range(12):
            writer.append(str(i), np.full((10_000, 1), i, "float32"))
    array = np.load(tmp_path / "s" / "array.npy")
    np.testing.assert_array_equal(array[:, 0], np.repeat(np.arange(12, dtype="float32"), 10_000))


def test_utterance_level_rows_in_the_order_asked_for(tmp_path):
    store = write(tmp_path / "s", {u: np.full(3, i, "float32") for i, u in enumerate("abc")}, level="utterance")
    assert store["b"].shape == (3,)
    np.testing.assert_array_equal(store.rows(["c", "a", "c"])[:, 0], [2, 0, 2])
    assert store.rows([]).shape == (0, 3)


def test_rows_of_a_frame_feature_are_refused(tmp_path, arrays):
    with pytest.raises(SerError, match="many rows per utterance"):
        write(tmp_path / "s", arrays).rows(["u0"])


def test_audio_is_one_dimensional(tmp_path):
    samples = np.array([-32768, 0, 32767], "int16")
    store = write(tmp_path / "s", {"a": samples, "b": samples[:2]}, dim=None, dtype="int16", level="sample")
    np.testing.assert_array_equal(store["a"], samples)
    np.testing.assert_array_equal(store.read("b"), samples[:2])
    assert store.card["dim"] is None


def test_equal_input_gives_equal_bytes_and_content_follows_rows_and_ids(tmp_path, arrays):
    one, two = write(tmp_path / "one", arrays), write(tmp_path / "elsewhere" / "two", arrays)
    for name in FILES:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()
    other = arrays | {"u2": arrays["u2"] + 1}
    renamed = {f"v{u}": a for u, a in arrays.items()}
    contents = [one.content, write(tmp_path / "o", other).content, write(tmp_path / "r", renamed).content]
    assert len(set(contents)) == 3
    assert one.content == two.content


def test_nothing_is_left_of_a_write_that_failed_and_the_old_store_stays(tmp_path, arrays):
    before = write(tmp_path / "s", arrays).content

    def stopped() -> None:
        with Writer(tmp_path / "s", 3, "float32", CARD) as writer:
            writer.append("u0", arrays["u0"])
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert Store(tmp_path / "s").content == before


def test_a_new_store_replaces_the_old(tmp_path, arrays):
    write(tmp_path / "s", arrays)
    assert write(tmp_path / "s", {"only": arrays["u0"]}).utterances == ["only"]
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_empty_store_and_empty_utterance(tmp_path):
    assert len(write(tmp_path / "none", {})) == 0
    store = write(tmp_path / "s", {"a": np.zeros((0, 3), "float32"), "b": np.ones((2, 3), "float32")})
    assert store["a"].shape == store.read("a").shape == (0, 3)
    np.testing.assert_array_equal(store["b"], np.ones((2, 3)))


def test_ids_may_hold_commas_quotes_and_umlauts(tmp_path):
    ids = ['a,"b"', "Übung 1", "x/y"]
    store = write(tmp_path / "s", {u: np.full((1, 3), i, "float32") for i, u in enumerate(ids)})
    assert [store[u][0, 0] for u in ids] == [0, 1, 2]


def test_unknown_utterance_names_it_and_the_store(tmp_path, arrays):
    store = write(tmp_path / "s", arrays)
    for call in (store.__getitem__, store.read, lambda u: store.lengths([u])):
        with pytest.raises(SerError, match=f"'u9'.*{tmp_path / 's'}"):
            call("u9")


def test_an_utterance_twice_is_refused(tmp_path, arrays):
    with Writer(tmp_path / "s", 3, "float32", CARD) as writer:
        writer.append("u0", arrays["u0"])
        with pytest.raises(SerError, match="'u0' comes twice"):
            writer.append("u0", arrays["u0"])


def test_a_row_of_another_width_is_refused(tmp_path):
    with pytest.raises(ValueError), Writer(tmp_path / "s", 3, "float32", CARD) as writer:
        writer.append("u0", np.zeros((2, 4), "float32"))


def test_missing_store(tmp_path):
    with pytest.raises(SerError, match=r"no such store.*dvc repro"):
        Store(tmp_path / "s")


def test_truncated_array(tmp_path, arrays):
    write(tmp_path / "s", arrays)
    path = tmp_path / "s" / "array.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(SerError, match=r"damaged (store|file)"):
        _ = Store(tmp_path / "s").array


@pytest.mark.parametrize("text", ["", "utterance,offset,length\nu0,0\n", "utterance,offset,length\nu0,0,99\n"])
def test_damaged_index(tmp_path, arrays, text):
    write(tmp_path / "s", arrays)
    (tmp_path / "s" / "index.csv").write_text(text)
    with pytest.raises(SerError, match=r"damaged (store|file)"):
        Store(tmp_path / "s")


def test_a_store_travels_as_its_folder(tmp_path, arrays):
    store = write(tmp_path / "s", arrays)
    _ = store.array
    data = pickle.dumps(store)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data)["u2"], arrays["u2"])
