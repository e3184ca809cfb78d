"""The OSS: customers, plans and services, and the web console.

`api/` speaks HTTP (one file per noun), `domain/` is what the OSS decides and the SQL behind it,
`auth/` says who may, `device.py` is the only way to a BNG, `live.py` turns database notifications
into one stream per browser, `console/` is the browser's side.
"""
