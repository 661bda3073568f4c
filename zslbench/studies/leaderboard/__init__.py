"""Which method is better, under one protocol, with which confidence?"""
