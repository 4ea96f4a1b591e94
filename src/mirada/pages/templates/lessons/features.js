// All of this page was computed when it was written: fitting four models takes seconds.
