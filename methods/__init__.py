"""The methods, one file each: a file's name is the method's name."""
