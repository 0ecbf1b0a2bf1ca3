"""The token loop: requests in, events out, one step at a time.

`engine.Engine` is the public face for library users, `loop.EngineLoop` what a worker drives. The
scheduler and the lane ledger are pure; `step` alone touches the native session.
"""
