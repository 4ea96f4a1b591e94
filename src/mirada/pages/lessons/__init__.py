"""The pages of the lessons: one file a topic, which says what its template shows and what the terminal prints.

A file has two functions: ``figures(record, wording)`` returns what the template ``lessons/TOPIC.html`` and the script
``lessons/TOPIC.js`` are given, ``essentials(record, wording)`` the lines for the terminal. What a page says stands in
``texts/LANGUAGE/TOPIC.toml``.
"""
