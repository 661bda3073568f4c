"""The learners of task sequences, one file each: a file's name is the learner's name."""
