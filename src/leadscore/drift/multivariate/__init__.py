"""All features together: has their joint distribution changed?"""
