#!/bin/bash
#$ -N mirada-my-cats
#$ -S /bin/bash
#$ -cwd
#$ -l gpu=4
#$ -l h_rt=36:00:00,s_rt=35:58:00
#$ -notify
#$ -r y
#$ -j y
#$ -o scheduler.log
#$ -A lab
#$ -pe mpi 32
set -u
job='/work/runs/my cats.job'
run='/work/runs/my cats'
cd '/work/it'"'"'s here' || exit 1
exec >> "$job/output.log" 2>&1
export OMP_NUM_THREADS=4
export MIRADA_CACHE='/scratch/a b'
module load cuda

nap() { sleep 1 & wait $!; }  # a signal ends it
node() {  # start|resume HEAD PORT: the processes of this node, which save and stop once there is $job/stop
    local child code arguments
    arguments=(train 'my photos/' --set 'notes='"'"'it'"'"''"'"'s "so"'"'"'; rm -rf $HOME' --output '/work/runs/my cats')
    if [ "$1" = resume ]; then arguments=(train --resume "$run"); fi
    trap '' USR1 USR2  # meant for the script alone
    trap 'touch "$job/stop"' TERM
    '/envs/one two/bin/python' -m torch.distributed.run --nproc-per-node=4 --nnodes=2 --rdzv-backend=c10d --rdzv-id="$3" --rdzv-endpoint="$2:$3" -m mirada "${arguments[@]}" &
    child=$!
    until [ -e "$job/stop" ] || ! kill -0 "$child" 2> /dev/null; do nap; done
    if [ -e "$job/stop" ]; then pkill -TERM -P "$child" || kill -TERM "$child"; fi
    until wait "$child"; code=$?; ! kill -0 "$child" 2> /dev/null; do :; done  # a signal ends a wait, too
    if [ "$code" -ne 0 ]; then echo "$code" > "$job/code"; fi
}
hosts() { awk '{print $1}' "$PE_HOSTFILE"; }
everywhere() {  # start|resume: the processes of all nodes
    local digits=${JOB_ID%%[!0-9]*}
    local head port=$((20000 + digits % 20000))
    head=$(hosts | head -n 1)
    for host in $(hosts); do qrsh -inherit "$host" bash "$job/job.sh" node "$1" "$head" "$port" & done
    wait  # for all of them
}

if [ "${1:-}" = node ]; then
    shift
    node "$@"
    exit
fi
mode=$(if [ -e "$run" ]; then echo resume; else echo start; fi)
rm -f "$job/stop" "$job/code"
saved() { find "$run" \( -path '*/checkpoints/state-*' -o -name digests.json \) 2> /dev/null | sort; }
before=$(saved)  # by their names, which tell the step: what is saved once more at the same step is no progress
trap 'touch "$job/stop"' TERM USR1 USR2
everywhere "$mode" &
work=$!
while kill -0 "$work" 2> /dev/null; do
    if [ "$SECONDS" -ge 129420 ]; then touch "$job/stop"; fi  # in case no signal comes
    nap
done
wait "$work"
code=$?
if [ -e "$job/code" ]; then code=$(cat "$job/code"); fi
if [ "$code" -eq 0 ]; then exit; fi
if [ -e "$job/cancelled" ] || [ "$SECONDS" -lt 129420 ]; then exit "$code"; fi
if [ "$(saved)" = "$before" ]; then
    echo "Training came no further in the whole walltime, so the job does not queue again. Give it a longer one."
    exit "$code"
fi
echo "The walltime ends. The job queues again, and training goes on from where it is."
exit 99  # SGE queues a job that ends so once more
