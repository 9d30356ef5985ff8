"""What a stand-in runs, as the job's own user, in place of the batch script.

It finds and sends the inputs, waits (in a tiny C program), copies what the job prints while it
runs, lands the results and ends as the job ended. It may be killed and started again at any
moment: all it must remember lies with burstd or in the job's own files.
"""
