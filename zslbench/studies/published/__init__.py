"""What do the papers print, and do our numbers agree?"""
