"""What ``manage.py serve`` runs: one parent that starts, watches, restarts and stops the product's processes.

``supervise`` is the parent's loop, ``children`` one child's life, ``roles`` says which command each role is,
``leash`` is what every child is started through, ``web`` is the process that serves the port.
"""
