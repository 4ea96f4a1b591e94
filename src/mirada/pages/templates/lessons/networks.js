// The drawings of this page move by themselves: there is nothing to compute.
