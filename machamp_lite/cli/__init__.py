"""The command line: the train and predict commands, their flags, tables and logs. Nothing else prints or exits."""
