"""Class-incremental learning: how do methods do along a task sequence?"""
