"""Readers of data as they come: xlsa17's files, a folder of images, MATLAB files."""
