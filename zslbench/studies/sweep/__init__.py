"""Which hyper-parameters are best on the tuning worlds?"""
