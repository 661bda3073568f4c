"""Where does a finished run look?"""
