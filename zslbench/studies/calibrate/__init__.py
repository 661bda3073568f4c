"""How do seen and unseen accuracy trade off over gamma?"""
