"""What an agent is told of the tool that searches pages, in either framework."""

NAME = "search_pages"
DESCRIPTION = "Searches the documents and returns the pages that bear on a question, each with its number and its source."
QUERY = "a question, or the words to look for"
NOTHING = "No page was found for this."
