# Made by scripts/reference.
# -o: what follows the last comma
function __xenfs_options
    set -l head (string match -r '^.*,' -- (commandline -ct); or echo '')
    set -l last (string replace -r '^.*,' '' -- (commandline -ct))
    switch $last
        case 'record=*'
            printf '%s\n' $head'record='{auto,journal,syslog,stderr,off}
        case 'policy=*'
            printf '%s\n' $head'policy='(__fish_complete_path (string replace 'policy=' '' -- $last))
        case 'run_as=*'
            printf '%s\n' $head'run_as='(__fish_complete_users)
        case '*'
            printf '%s\n' $head{allow_other,debug,gid=,lifecycle,open_max=,policy=,pool_check,pool_max=,raw,record=,ro,run_as=,uid=,umask=,unverified}
    end
end
set -l commands mount umount tree watch top describe doctor
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a mount -d 'mount the tree and serve it until a signal or an unmount'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a umount -d 'unmount a mounted tree'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a tree -d 'list every path of the tree: mode, tier, hypercall, help'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a watch -d 'follow what happens, or wait until something has'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a top -d 'show the domains, how busy they are and what they have'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a describe -d 'say all there is to say about one path'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a doctor -d 'check what works on this machine, what does not, and why'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -l help -d 'say how it is used'
complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -l version -d 'say which version it is'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -s h -l help -d 'show this help message and exit'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -s o -x -a "(__xenfs_options)" -d 'mount options'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -l hypervisor -x -a "auto privcmd simulator" -d 'what to serve'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -l faults -x -d 'let hypercalls fail on purpose'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -l no-hypercall-device -d 'do without /dev/xen/hypercall'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -l ready-fd -x -d 'write "READY" to this descriptor once mounted'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -l new-session -d 'leave the session once mounted'
complete -c xenfs -n "__fish_seen_subcommand_from mount" -s v -l verbose -d 'log refused requests too'
complete -c xenfs -n "__fish_seen_subcommand_from umount" -s h -l help -d 'show this help message and exit'
complete -c xenfs -n "__fish_seen_subcommand_from umount" -s l -l lazy -d 'detach it now'
complete -c xenfs -n "__fish_seen_subcommand_from tree" -s h -l help -d 'show this help message and exit'
complete -c xenfs -n "__fish_seen_subcommand_from watch" -s h -l help -d 'show this help message and exit'
complete -c xenfs -n "__fish_seen_subcommand_from watch" -l json -d 'print a JSON object a line'
complete -c xenfs -n "__fish_seen_subcommand_from watch" -l until -x -d 'end when this is reached'
complete -c xenfs -n "__fish_seen_subcommand_from watch" -l timeout -x -d 'end after so long'
complete -c xenfs -n "__fish_seen_subcommand_from watch" -l all -d 'begin with the lines that a growing file has already'
complete -c xenfs -n "__fish_seen_subcommand_from watch" -l reconnect -x -d 'how long to wait for another daemon when this one ends'
complete -c xenfs -n "__fish_seen_subcommand_from watch" -l interval -x -d 'how often to look at what cannot be waited for'
complete -c xenfs -n "__fish_seen_subcommand_from top" -s h -l help -d 'show this help message and exit'
complete -c xenfs -n "__fish_seen_subcommand_from top" -l once -d 'print a table and end'
complete -c xenfs -n "__fish_seen_subcommand_from top" -l batch -d 'print a table again and again'
complete -c xenfs -n "__fish_seen_subcommand_from top" -l json -d 'print JSON instead'
complete -c xenfs -n "__fish_seen_subcommand_from top" -s n -l iterations -x -d 'end --batch after so many'
complete -c xenfs -n "__fish_seen_subcommand_from top" -s d -l delay -x -d 'time between two looks'
complete -c xenfs -n "__fish_seen_subcommand_from top" -l sort -x -a "domid name state cpu time memory max vcpus type network disk cpupool" -d 'what to sort by'
complete -c xenfs -n "__fish_seen_subcommand_from top" -l reverse -d 'the other way round'
complete -c xenfs -n "__fish_seen_subcommand_from top" -l filter -x -d 'only domains with this in name'
complete -c xenfs -n "__fish_seen_subcommand_from top" -l vcpus -d 'each vCPU'
complete -c xenfs -n "__fish_seen_subcommand_from describe" -s h -l help -d 'show this help message and exit'
complete -c xenfs -n "__fish_seen_subcommand_from doctor" -f
complete -c xenfs -n "__fish_seen_subcommand_from doctor" -s h -l help -d 'show this help message and exit'
complete -c xenfs -n "__fish_seen_subcommand_from doctor" -l json -d 'one JSON object instead of lines'
