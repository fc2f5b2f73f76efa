function %(complete_func)s
    set -l line (commandline -cp | string collect)
    # What stands before a value in the same word.
    set -l word (commandline -ct)
    set -l before (string match -r -- '^--[a-z-]+=' $word)
    set -l tab \t
    for answer in (COMP_LINE=$line %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l words (string split -m 2 -- $tab $answer)
        switch $words[1]
            case file
                # FORMAT=FILE
                if string match -q -- "*=$words[2]" $word
                    set before (string match -r -- '^.*=' $word)
                end
                for path in (__fish_complete_path (string replace -- "$before" '' $word))
                    echo "$before$path"
                end
            case dir
                for path in (__fish_complete_directories (string replace -- "$before" '' $word))
                    echo "$before$path"
                end
            case command
                complete -C $word
            case plain
                echo "$before$words[2]$tab$words[3]"
        end
    end
end
complete --no-files --keep-order --command %(prog_name)s --arguments '(%(complete_func)s)'
