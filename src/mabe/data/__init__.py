"""Recordings: files of laboratories in, one array of frames per set out."""
