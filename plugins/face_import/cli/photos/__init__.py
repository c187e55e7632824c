"""Photos of a folder or zip file as a source.

::

    names ──▶ collecting ◀── places (folder, zip file)
                  │ photos, each read once
                  ▼
                table: a CSV file of data URIs, made while it is sent
"""
