"""Did a change of the code move any accuracy?"""
