"""A fleet's report in the forms that people and CI read: Markdown, HTML, JUnit, SARIF, and a patch."""
