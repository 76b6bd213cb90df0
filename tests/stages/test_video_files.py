"""Video files: exact frames however they are coded, and one sentence for whatever is wrong with a file."""

import http.server
import os
from pathlib import Path

import numpy as np
import pytest
from filmed import REAL, film, moving, settings, spoil, turned

from runs import InputError
from taehv import video
from taehv.clips import KINDS, render
from taehv.params import ClipsParams
from taehv.video import UnreadableVideo, Writer

# Distances between frames that a screen recorder might leave.
UNEVEN = (np.random.default_rng(1).integers(1, 5, 79)).tolist()
CODED = {
    "keyframes every 12 frames": {"options": {"g": "12"}},
    "one keyframe": {"options": {"g": "500", "sc_threshold": "0"}},
    "no frames from the future": {"options": {"g": "20", "bf": "0"}},
    "many frames from the future": {
        "options": {"g": "24", "x264-params": "bframes=8:b-adapt=0:b-pyramid=normal"}
    },
    "open groups": {"options": {"x264-params": "keyint=16:open-gop=1:bframes=3:b-adapt=0:scenecut=0"}},
    "uneven": {"options": {"g": "12"}, "steps": UNEVEN},
    "full colour": {"pix_fmt": "yuv444p"},
    "MPEG-4": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
}


def every_frame(path):
    return np.stack(list(video.frames(path)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("coded", CODED)
def test_frames_read_are_those_of_decoding_everything(tmp_path, coded, suffix):
    path = film(tmp_path / f"clip{suffix}", moving(80), **CODED[coded])
    everything = every_frame(path)
    assert len(everything) == 80 == video.probe(path).frames
    rng = np.random.default_rng(0)
    for first, count, delta in [
        (0, 80, 1),
        (0, 1, 1),
        (79, 1, 1),
        (11, 2, 1),
        (15, 1, 3),
        (3, 12, 5),
        (1, 27, 3),
    ]:
        np.testing.assert_array_equal(video.read(path, first, count, delta), everything[first::delta][:count])
    for first in rng.permutation(78)[:25]:
        np.testing.assert_array_equal(video.read(path, first, 2, 1), everything[first : first + 2])


def test_frames_come_in_the_order_in_which_they_were_written(tmp_path):
    written = moving(40)
    path = film(tmp_path / "clip.mp4", written, pix_fmt="yuv444p", options={"crf": "5"})
    for number, frame in enumerate(every_frame(path)):
        distance = np.abs(written.astype(int) - frame).mean((1, 2, 3))
        assert distance.argmin() == number


def test_reading_decodes_only_from_the_keyframe_before(tmp_path, monkeypatch):
    path = film(tmp_path / "clip.mp4", moving(200), options={"g": "20", "sc_threshold": "0"})
    decoded = []
    monkeypatch.setattr(video, "_check", lambda path, frame: decoded.append(frame.pts))
    video.read(path, 165, 3)
    assert len(decoded) <= 5 + 3 + 4  # from frame 160; a decoder runs a few frames ahead
    decoded.clear()
    video.read(path, 165, 3, 10)
    assert len(decoded) < 20  # frames that no other needs are left out


@pytest.mark.parametrize(("height", "width"), [(47, 63), (48, 63), (47, 64), (2, 2), (200, 18)])
def test_sizes_of_all_kinds(tmp_path, height, width):
    path = film(
        tmp_path / "clip.mp4",
        moving(5, 48, 64)[:, :1].repeat(height, 1)[:, :, :1].repeat(width, 2),
        pix_fmt="yuv444p",
    )
    assert (video.probe(path).height, video.probe(path).width) == (height, width)
    assert video.read(path, 1, 3).shape == (3, height, width, 3)


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_a_rotated_recording_is_read_upright(tmp_path, angle):
    plain = film(tmp_path / "plain.mp4", moving(6))
    path = turned(plain, tmp_path / "turned.mp4", angle)
    upright = np.rot90(every_frame(plain), angle // 90, (1, 2))
    np.testing.assert_array_equal(every_frame(path), upright)
    np.testing.assert_array_equal(video.read(path, 2, 2), upright[2:4])
    assert (video.probe(path).height, video.probe(path).width) == upright.shape[1:3]


def test_what_a_file_says_of_itself(tmp_path):
    with Writer(tmp_path / "clip.mp4", 30000 / 1001, 48, 64) as writer:
        for frame in moving(45):
            writer.write(frame)
    found = video.probe(tmp_path / "clip.mp4")
    assert (found.frames, found.height, found.width) == (45, 48, 64)
    assert found.fps == 30000 / 1001  # not rounded to 29.97
    assert found.duration_s == pytest.approx(45 / found.fps, abs=1e-3)


def test_a_file_that_was_replaced_is_looked_at_anew(tmp_path):
    path = film(tmp_path / "clip.mp4", moving(30))
    assert video.read(path, 29, 1).shape == (1, 48, 64, 3)
    film(path, moving(12))
    assert video.probe(path).frames == 12
    with pytest.raises(UnreadableVideo, match="holds 12 frames but frame 29 was asked for"):
        video.read(path, 29, 1)


def test_what_is_written_is_what_is_read(tmp_path):
    written = np.full((10, 32, 48, 3), (200, 90, 40), np.uint8)
    with Writer(tmp_path / "clip.mp4", 25, 32, 48, crf=5) as writer:
        for frame in written:
            writer.write(frame)
    assert (
        np.abs(every_frame(tmp_path / "clip.mp4").astype(int) - written).max() <= 3
    )  # colours are not shifted


def test_a_failed_writer_leaves_the_former_file(tmp_path):
    path = film(tmp_path / "clip.mp4", moving(5))
    former = path.read_bytes()
    writer = Writer(path, 25, 48, 64)

    def write_and_fail():
        with writer:
            writer.write(moving(1)[0])
            raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError, match="the model failed"):
        write_and_fail()
    assert path.read_bytes() == former
    with pytest.raises(ValueError, match="not uint8"), Writer(path, 25, 48, 64) as other:
        other.write(moving(1, 64, 48)[0])
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_says_what_it_cannot_write(tmp_path):
    with pytest.raises(InputError, match=r"47x64 but H\.264 needs even sides"):
        Writer(tmp_path / "clip.mp4", 25, 47, 64)
    with pytest.raises(InputError, match=r"must end in \.mp4"):
        Writer(tmp_path / "clip.gif", 25, 48, 64)


def sound_only(path):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


def cut(path, share):
    film(path, moving(60), movflags="faststart")  # the index comes first
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


BAD = {
    "missing": (lambda path: None, "cannot be decoded: No such file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be decoded: Invalid data"),
    "no video at all": (lambda path: path.write_text("hello" * 1000), "cannot be decoded: Invalid data"),
    "sound only": (sound_only, "holds no video"),
    "cut within the index": (lambda path: cut(path, 0.05), "cannot be decoded|holds no"),
    "cut within the pictures": (lambda path: cut(path, 0.7), "truncated|cannot be decoded|damaged"),
}


@pytest.mark.parametrize("lists", ["hls", "concat", "sdp"])
def test_a_list_of_other_files_or_addresses_is_no_video(tmp_path, lists):
    """FFmpeg would read the files, and fetch from the addresses, whatever the list is called."""
    film(tmp_path / "other.mp4", moving(40))
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.timeout = 0.2
        asked = []
        server.finish_request = lambda request, address: asked.append(address)
        address = f"http://127.0.0.1:{server.server_port}/clip.ts"
        texts = {
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.mp4\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n",
            "concat": f"ffconcat version 1.0\nfile other.mp4\nfile {address}\n",
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
            "a=rtpmap:96 H264/90000\n",
        }
        for suffix in (".mp4", {"hls": ".m3u8", "concat": ".ffconcat", "sdp": ".sdp"}[lists]):
            path = tmp_path / f"clip{suffix}"
            path.write_text(texts[lists])
            with pytest.raises(UnreadableVideo, match="cannot be decoded"):
                video.probe(path)
            server.handle_request()
        assert asked == []


@pytest.mark.parametrize(
    "name",
    [
        "concat:other.mp4|other.mp4",
        "file:other.mp4",
        "pipe:0",
        "data:,x",
        "subfile,,start,0,end,9,,:other.mp4",
    ],
)
def test_a_name_is_a_files_name_and_none_of_ffmpegs_protocols(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    film("other.mp4", moving(40))
    with pytest.raises(UnreadableVideo, match="cannot be decoded: No such file"):
        video.probe(name)
    os.rename("other.mp4", name)
    assert video.probe(name).frames == 40


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    says = "a directory" if kind == "directory" else "a pipe or a device"
    path = {"device": Path("/dev/zero")}.get(kind, tmp_path / "clip.mp4")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    with pytest.raises(UnreadableVideo, match=f"{path} is {says}, not a file"):
        video.probe(path)


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_one_sentence(tmp_path, fault):
    make, says = BAD[fault]
    path = tmp_path / "clip.mp4"
    make(path)
    for look in (lambda: list(video.frames(path)), lambda: video.read(path, 50, 5)):
        with pytest.raises(UnreadableVideo, match=says) as raised:
            look()
        assert str(raised.value).startswith(str(path))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("length", [8, 40, 200])
def test_a_damaged_picture_is_not_made_up(tmp_path, length):
    """FFmpeg fills what it cannot decode with what was there before, and says so only in a flag.

    Not of every damage: random bytes are now and then a valid picture.
    """
    scene = settings(ClipsParams, clips_frames=40)
    path = film(
        tmp_path / "clip.mp4",
        render(scene, KINDS.index("occlusion")),
        options={"g": "20", "sc_threshold": "0"},
    )
    first = video.read(path, 0, 15)
    spoil(path, at=0.75, length=length)
    with pytest.raises(UnreadableVideo, match="is damaged"):
        list(video.frames(path))
    with pytest.raises(UnreadableVideo, match="is damaged"):
        video.read(path, 20, 20)
    np.testing.assert_array_equal(video.read(path, 0, 15), first)  # what comes before the damage is sound


@pytest.mark.integration
@pytest.mark.skipif(not REAL.exists(), reason="the real clips are not at ../shared/data/videos")
def test_frames_of_real_clips():
    for path in sorted(REAL.glob("*.mp4")):
        everything = every_frame(path)
        assert len(everything) == video.probe(path).frames
        rng = np.random.default_rng(0)
        for _ in range(6):
            delta = int(rng.integers(1, 6))
            first = int(rng.integers(len(everything) - 12 * delta))
            np.testing.assert_array_equal(video.read(path, first, 12, delta), everything[first::delta][:12])
