from __future__ import annotations

import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from memobench.base.errors import DataError, MemobenchError
from memobench.features import inception
from memobench.features.inception import InceptionFeatures

torch = pytest.importorskip("torch")
port = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
NAME = port.URL_INCEPTION_V3.rsplit("/", 1)[1]


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty home, an empty hub cache and no network."""

    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setenv("MEMOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    """The architecture with random weights, through a file as a user would give it."""

    class Bare(port.FeatureExtractorInceptionV3):
        def load_state_dict(self, state, *args, **kwargs):
            return None

    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "none.pth")
    torch.manual_seed(0)
    bare = Bare("bare", ["2048"], feature_extractor_weights_path=folder / "none.pth")
    torch.save(bare.state_dict(), folder / "random.pth")
    return InceptionFeatures(folder / "random.pth", batch=2), bare


def test_features_are_those_of_the_network(extractor):
    ours, bare = extractor
    pixels = np.random.default_rng(0).random((3, 40, 36)).astype(np.float32)
    before = pixels.copy()
    features = ours.features(pixels)
    assert features.shape == (3, 2048)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(pixels, before)
    rgb = torch.from_numpy(np.repeat(np.rint(pixels * 255).astype(np.uint8)[:, None], 3, axis=1))
    np.testing.assert_allclose(features, bare(rgb)[0].numpy(), rtol=1e-4, atol=1e-6)
    assert np.ptp(features, axis=0).max() > 0


def test_refuses_volumes_and_values_out_of_range(extractor):
    ours, _ = extractor
    with pytest.raises(DataError, match="slices"):
        ours.features(np.zeros((2, 8, 8, 8), dtype=np.float32))
    with pytest.raises(DataError, match="span"):
        ours.features(np.full((1, 8, 8), np.nan, dtype=np.float32))
    with pytest.raises(DataError, match="span"):
        ours.features(np.full((1, 8, 8), 255, dtype=np.float32))


def test_missing_weights_are_one_line_with_file_and_url(nowhere):
    with pytest.raises(MemobenchError) as caught:
        InceptionFeatures()
    message = str(caught.value)
    assert "\n" not in message
    assert port.URL_INCEPTION_V3 in message
    assert str(nowhere / "home" / "weights" / NAME) in message


@pytest.mark.parametrize("place", ["home/weights", "hub/checkpoints"])
def test_a_file_of_the_published_name_must_have_its_hash(nowhere, place):
    file = nowhere / place / NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else")
    with pytest.raises(MemobenchError, match="not 6726825d"):
        InceptionFeatures()


def test_a_right_hash_is_taken_from_home(nowhere, monkeypatch):
    file = nowhere / "home" / "weights" / NAME
    file.parent.mkdir(parents=True)
    torch.save({"a": torch.ones(1)}, file)
    monkeypatch.setattr(inception, "_hash_prefix", lambda name: "")
    assert list(inception._state(None)) == ["a"]


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


def test_pickled_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harm.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(MemobenchError, match="cannot be read as weights") as caught:
        InceptionFeatures(tmp_path / "harm.pth")
    torch.save({"a": Harm()}, tmp_path / "zipped.pth")
    with pytest.raises(MemobenchError, match="cannot be read as weights"):
        InceptionFeatures(tmp_path / "zipped.pth")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm-was-done").exists()


def test_files_that_are_no_such_weights(tmp_path):
    with pytest.raises(MemobenchError, match="cannot be read"):
        InceptionFeatures(tmp_path / "absent.pth")
    torch.save(torch.ones(2), tmp_path / "tensor.pth")
    with pytest.raises(MemobenchError, match="not a state dict"):
        InceptionFeatures(tmp_path / "tensor.pth")
    torch.save({"a": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(MemobenchError, match="do not fit") as caught:
        InceptionFeatures(tmp_path / "other.pth")
    assert "\n" not in str(caught.value)
