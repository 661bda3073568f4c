"""The methods: one file each. A file here is a method; its name is the method's name."""
