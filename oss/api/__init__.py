"""HTTP: one file per noun. Routers check and translate; what happens is in `oss.domain`."""
