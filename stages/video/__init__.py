"""One script per stage of the video pipeline (`python -m stages.video.NAME`), as those of the other one."""
