"""Scenes from the public life of a small town: the library, the trains, the club and the school."""

from sample_data.scenes import Scene

LIBRARY = Scene(
    name="library",
    people="the librarian / the caretaker / Mrs Hale / the new assistant / two volunteers / a student",
    activities="""
        repair | the torn map / an old atlas / the loose cover | with strong tape / in the back room
        sort | the returned books / a box of old newspapers / the children's books | by author \
            / at the counter
        move | the heavy shelves / the reading chairs | into the hall / with a small trolley
        order | two new novels / a history of the village / some large-print books | for the reading group
        label | the new shelves / every box in the archive | by hand / with a black pen
        put up | a poster / a notice about the quiz | on the front door / beside the lift
        scan | the old photographs / the village newspaper | for the archive / at the counter
        read | a long story / the first chapter / a funny poem | to the children
    """,
    incidents="""
        find | a train ticket / an old letter / a pressed flower | between two pages / inside a cookbook
        lose | the key / a library card / the last page of the report |
        borrow | the same novel / three cookbooks / a book about bees | by mistake / for the holidays
        tear | the cover of the atlas / a page | by accident
    """,
    habits="""
        the library | close | | at six / at noon on Saturdays
        the reading group | meet | | in the small room / upstairs
        Mrs Hale | water | the plants | by the window
        most children | choose | the same picture books |
    """,
    sequences="""
        unlock | the side door ; switch on | the lights ; fetch | the post
        take | a novel | from the shelf ; sit down | | by the window
        stamp | the card ; smile | | at the boy
    """,
    links="""
        because: the librarian | cancel | the story hour / the talk || the main room | be | too cold
        because: nobody | find | the atlas || a student | put | it | on the wrong shelf
        when: the children | laugh | | loudly || the librarian | drop | the heavy dictionary
        although: Mrs Hale | finish | the whole novel || the first chapter | be | rather slow
        so: the printer | run out | | of ink || the caretaker | write | the notice | by hand
        but: I | search | the whole shelf || the book | be | on loan
        if: you | return | the book | on Friday || you | pay | no fine
    """,
    states="""
        the reading room | quiet / too warm / full of students / closed for repairs
        the new novel | very popular / much too long / a gift from the author
        the oldest maps | in the archive / very fragile
        the talk about bees | free / fully booked / on the second floor
    """,
    places="""
        a queue / a box of lost gloves / a small lamp | at the counter
        only three copies | in the library
        a map of the valley | on the wall / above the stairs
    """,
    comparisons="""
        the new shelves | strong | the old ones
        the second volume | short | the first one
        the upstairs room | quiet | the main hall
    """,
)

TRAINS = Scene(
    name="trains",
    people="the driver / the conductor / the guard / a young couple / Mr Osei / the passengers",
    activities="""
        the guard / the conductor | check | the tickets / the doors of the last carriage | very carefully
        two cleaners / the night shift | clean | the carriage windows / the empty carriages \
            | at the depot / with warm water
        the passengers / a young couple | wait | | for the last bus / for the connection / on platform 4
        the guard / a young couple | load | the bicycles / six heavy suitcases | onto the train \
            / at the far end of the platform
        the conductor / the driver | announce | the delay / the new timetable | over the loudspeaker \
            / in two languages
        Mr Osei / a young couple / a soldier | buy | a return ticket to Leeds / a weekly ticket \
            / two coffees | at the machine / in the ticket office
        the workmen / a team of volunteers | paint | the footbridge / the old waiting room | dark green \
            / with a long brush
        two engineers / the driver | test | the new signals / the brakes | at the depot / in the rain
    """,
    incidents="""
        miss | the connection / the 7.40 train / the last train home | by two minutes
        leave | a laptop / a red umbrella / a scarf | on the train / in the first carriage
        doze off | | before the tunnel
        catch | the wrong train / an earlier train | in York
    """,
    habits="""
        the first train | leave | | at 5.12 / from platform 2
        the fast train | stop | | at Milton / only twice
        the evening trains | run | | every hour
        Mr Osei | take | the same seat | by the door
    """,
    sequences="""
        run | | across the bridge ; jump | | onto the train
        Mr Osei: show | the ticket ; find | a seat ; open | the newspaper
        get off | | at Milton ; cross | the square ; take | a taxi
    """,
    links="""
        because: the train | arrive | | forty minutes late || a tree | fall | | across the line
        because: we | miss | the connection || the bus | be | full
        when: the passengers | cheer | || the engine | start | | at last
        while: somebody | steal | the bicycle || the guard | check | the tickets
        so: the lift | be | out of order || two students | carry | the pram | down the stairs
        although: the conductor | stay | | calm || the carriage | be | very crowded
        if: you | change | | at Derby || you | save | twelve pounds
        until: the young couple | talk | || the train | reach | the coast
    """,
    states="""
        the night train | always on time / almost empty / slightly cheaper
        the waiting room | cold and dark / open until midnight / near the ticket office
        the seats in this carriage | reserved / rather narrow / dirty
        the journey to Leeds | quite pleasant / boring
    """,
    places="""
        a long tunnel / a small station | between Derby and Milton
        a broken window | in the last carriage
        a fast train to the coast | at 9.15 / every two hours
    """,
    comparisons="""
        the slow train | cheap | the express
        the new timetable | confusing | the old one
        the bus | crowded | the train
    """,
)

FOOTBALL = Scene(
    name="football",
    people="the coach / the goalkeeper / our captain / the groundsman / both teams / the new striker",
    activities="""
        the groundsman / two parents | mark out | the pitch / the small training area | with white paint
        the coach's wife / the junior team | wash | the shirts / the muddy boots | behind the clubhouse \
            / after the match
        the goalkeeper / both teams | train | | in the rain / under the floodlights / with the second team
        the coach / the club | plan | the away match / the summer tournament | in the clubhouse \
            / with the parents
        two parents / our captain | sell | hot soup / raffle tickets / the old goalposts | at the gate
        the new striker / our captain | practise | free kicks / long throws | on the small pitch
        the groundsman / a retired fisherman | mend | the net / the hole in the fence | with thin rope
        the coach / the trainers | choose | a new captain / the players for the cup final \
            | in the dressing room
    """,
    incidents="""
        our captain / the new striker | score | two goals / the winning goal / a penalty \
            | in the last minute / against Milton
        the goalkeeper / our captain | twist | an ankle / a knee | in the first half
        both teams / the second team | lose | the cup final / three matches | at home
        our captain / the goalkeeper | receive | a yellow card / the fair play award |
    """,
    habits="""
        the second team | train | | on Tuesdays / under the floodlights
        the captain | bring | oranges | for the whole team
        our supporters | sing | | even in the rain
        the groundsman | cut | the grass | on Fridays
    """,
    sequences="""
        the new striker: win | the ball ; pass | two defenders ; score | a wonderful goal
        both captains: shake | hands | with the referee ; leave | the pitch
        collect | the cones ; lock | the clubhouse ; cycle | | home
    """,
    links="""
        because: the referee | stop | the match || the fog | be | too thick
        because: the coach | change | the team || two players | be | ill
        when: the whole village | celebrate | || the girls | win | the league
        although: we | lose | the match | in the end || we | play | | well
        so: the pitch | freeze | | overnight || the club | move | the match | to Sunday
        after: the goalkeeper | apologise | || he | let in | the third goal
        but: the striker | hit | the post | twice || she | miss | the penalty
        unless: the match | start | | at three || it | snow | | again
    """,
    states="""
        the pitch | wet / ready for the cup final / still frozen
        our new coach | a former goalkeeper / very patient / from Ghana
        the referee | strict but fair / late for the match / the fastest person on the pitch
        the away fans | noisy / in good spirits / behind the goal
    """,
    places="""
        a hole | in the net / in the fence
        only nine players | on the pitch
        a raffle | in the clubhouse / for the junior team
    """,
    comparisons="""
        the junior team | fast | the first team
        the home match | exciting | the final
        this season | good | last year
    """,
)

SCHOOL = Scene(
    name="school",
    people="the teacher / the head teacher / Ms Lindqvist / the pupils / the school cook / the twins",
    activities="""
        paint | a large mural / the stage / the classroom door | with the younger pupils
        build | a model bridge / a bird box | out of old boxes / in the workshop
        the teacher / Ms Lindqvist | mark | the spelling tests / thirty essays | in the staff room \
            / with a green pen
        rehearse | the school play / a song from Spain | in the hall / without music
        plant | a row of beans / an apple tree | behind the gym
        visit | the science museum / a dairy farm | with the youngest class
        measure | the shadow of the flagpole / the playground | with a long rope
        write | a letter to the mayor / a report about the trip | in pairs / in neat handwriting
    """,
    incidents="""
        forget | the lunch boxes / the words of the song / the homework |
        spill | a pot of paint / the glue | on the carpet / over the drawings
        win | the chess tournament / a prize for the mural |
        break | a window / the projector | by accident
    """,
    habits="""
        the first lesson | begin | | at 8.30
        the pupils | grow | tomatoes | behind the gym
        Ms Lindqvist | play | the piano | in assembly
        the school bus | stop | | outside the bakery
    """,
    sequences="""
        raise | a hand ; ask | a clever question
        put on | the coats ; line up | | at the gate ; walk | | to the museum
        draw | a map ; colour | the rivers ; hang | it | on the wall
    """,
    links="""
        because: the class | stay | | indoors || it | rain | | all day
        because: the twins | be | proud || the mayor | answer | the letter
        when: the pupils | clap | || the smallest boy | finish | the poem
        while: the cook | prepare | lunch || the children | rehearse | the play
        so: the projector | break down | || the teacher | draw | the planets | on the board
        before: you | check | the spelling || you | hand in | the essay
        although: everyone | pass | the test || it | be | difficult
        if: the weather | stay | dry || the class | visit | the farm
    """,
    states="""
        the school play | a great success / on Thursday evening / funnier than last year
        the gym | closed / too small for the concert / above the canteen
        the twins | good at chess / new here / in the same class
        the answer to question 5 | wrong / on page 12 / rather surprising
    """,
    places="""
        twenty-six pupils | in the class
        a piano | in the hall / under the stairs
        a mistake | on page 9 / in the third question
    """,
    comparisons="""
        the second question | easy | the first one
        the new hall | bright | the old gym
        the older pupils | nervous | the little ones
    """,
)
