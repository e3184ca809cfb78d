"""What this element brings to its management servers: state, configuration, operations, notifications.

Everything runs in the management process and works from the journal, the counter matrix and what control
pushes; only configuration and operations ask control. `provider.Northbound` joins the parts.
"""
