"""Scenes at work: the repair shop, the office, the bakery and the clinic."""

from sample_data.scenes import Scene

REPAIRS = Scene(
    name="repairs",
    people="the mechanic / the apprentice / Ms Duarte / the owner of the shop / Ivan / a customer",
    activities="""
        the mechanic / the apprentice / Ivan | replace | the brake cable / a flat tyre \
            / the cracked screen | in the workshop / for twenty pounds
        repair | a broken lamp / my father's radio / the old clock | by hand / with spare parts
        oil | the chain / the hinges | with a fine brush
        test | the brakes / the new battery | on the street / in the yard
        take apart | the coffee machine / the gearbox | on the long bench / with great care
        clean | the spark plugs / the lens | with a soft cloth
        sharpen | the kitchen knives / a pair of scissors | on the wet stone
        Ivan / the apprentice | solder | the loose wire / the contacts | under the bright lamp
    """,
    incidents="""
        drop | a tiny screw / the bill | behind the bench / into the engine
        find | the fault / a dead mouse | inside the radio / under the bonnet
        break | the last fuse / the handle |
        lose | the receipt / the warranty card |
    """,
    habits="""
        the shop | open | | at nine / even on Sundays
        Ivan | repair | clocks and radios | for the whole street
        the apprentice | make | the tea |
        most customers | pay | | in cash
    """,
    sequences="""
        take off | the wheel ; check | the brake ; replace | the cable
        open | the case ; clean | the contacts ; close | it | again
        start | the engine ; listen | | for a moment ; find | the fault
    """,
    links="""
        because: the clock | stop | || a spring | be | broken
        because: the repair | cost | nothing || the radio | be | under warranty
        when: the engine | make | a strange noise || the mechanic | turn | the key
        although: the lamp | flicker | | again || Ivan | replace | every fuse
        so: the part | be | out of stock || the owner | build | a new one
        after: the phone | work | | again || Ms Duarte | dry | it | overnight
        if: the battery | be | flat || the apprentice | charge | it
        but: the bicycle | look | old || the frame | be | in perfect condition
    """,
    states="""
        the old radio | beyond repair / ready for collection / very valuable
        the bill | lower than last time / on the counter / rather high
        the workshop | tidy / full of clocks / behind the petrol station
        this screw | too short / loose / the wrong size
    """,
    places="""
        water | in the engine / behind the lens
        a crack | in the screen / in the frame
        a sign | above the door
    """,
    comparisons="""
        the new battery | light | the old one
        a second-hand bicycle | cheap | a new one
        the small drill | useful | the big one
    """,
)

OFFICE = Scene(
    name="office",
    people="the manager / the accountant / our intern / Ms Ferreira / the cleaners / a colleague",
    activities="""
        Ms Ferreira / our intern | print | the contract / sixty flyers / the annual report | in colour \
            / on thick paper
        a colleague / our intern | answer | the letters from customers / the phone | in Spanish / from home
        the accountant / the manager | prepare | the budget / a short presentation | for the board \
            / with the accountant
        our intern / the manager | book | a meeting room / a table for ten | near the station / under my name
        Ms Ferreira / our intern | translate | the manual / a long email from Brazil | into English
        our intern / the accountant | update | the price list / the website | with the new prices
        the manager / a colleague | interview | two candidates / the new designer | in the small meeting room
        the accountant / our intern | send out | the invoices / the invitations | by post / by email
    """,
    incidents="""
        delete | the wrong file / a whole folder | by mistake
        lose | the contract / an important email / the password |
        spill | coffee | on the keyboard / over the invoices
        overlook | a mistake / the deadline | in the budget
    """,
    habits="""
        the meeting | start | | at ten
        Ms Ferreira | cycle | | to work / along the canal
        the cleaners | come | | after seven
        our intern | forget | his key |
    """,
    sequences="""
        open | the email ; read | it | twice ; call | the bank
        sign | the contract ; make | two copies ; put | them | in the drawer
        switch off | the computer ; close | the window ; go | | home
    """,
    links="""
        because: the manager | postpone | the meeting || three colleagues | be | ill
        because: the accountant | stay | | late || the numbers | be | wrong
        when: the printer | jam | || our intern | print | the flyers
        while: the phone | ring | || Ms Ferreira | talk | | to the board
        so: the internet | be | down || we | write | the minutes | by hand
        although: a colleague | use | the big room || it | be | booked
        if: the client | agree | || we | sign | the contract | on Monday
        but: I | send | the invoice | twice || nobody | pay | it
    """,
    states="""
        the printer | out of paper / slower than the old machine / on the second floor
        the deadline | too early / on 14 March / very close
        our intern | good with numbers / very shy / only eighteen
        the new office | near the station / brighter than the old one / rather noisy
    """,
    places="""
        three mistakes / a long list of questions | in the report
        no milk / some cake | in the fridge
        a meeting | in room 12 / at two
    """,
    comparisons="""
        the second offer | generous | the first one
        the new printer | fast | the old machine
        her desk | tidy | mine
    """,
)

BAKERY = Scene(
    name="bakery",
    people="the baker / the shop assistant / Mr Keller / the market women / a regular customer / Lena",
    activities="""
        weigh | the cheese / a pound of cherries | on the old scales
        wrap | the loaf / two slices of cake / the flowers | in brown paper
        the baker / Lena | decorate | the wedding cake / the shop window | with sugar roses / for Easter
        deliver | the rolls / forty loaves | by bicycle / to the hospital
        arrange | the pears / the jars of honey | on the stall / in a neat row
        count | the coins / the empty crates | in the back room
        the baker / Mr Keller | knead | the dough | by hand / on the long table
        give away | the stale bread / the last strawberries | for nothing
    """,
    incidents="""
        drop | a tray of buns / the till key | on the floor
        burn | the second batch / the croissants |
        sell | the last baguette / the wrong cake | to a tourist
        forget | the change / the order for the school |
    """,
    habits="""
        the baker | get up | | at three
        the market | open | | on Wednesdays / in front of the church
        Lena | save | the crusts | for the ducks
        a loaf of rye bread | cost | four pounds | on this stall
    """,
    sequences="""
        light | the oven ; weigh | the flour ; make | the dough
        taste | the cheese ; buy | half a pound ; pay | | in coins
        take down | the shutters ; sweep | the step ; open | the shop
    """,
    links="""
        because: the baker | throw away | the first batch || the oven | be | too hot
        because: Mr Keller | close | the stall | early || it | rain | | hard
        when: the queue | reach | the church || the plum cake | come | | out of the oven
        although: the rolls | sell | | quickly || they | be | expensive
        so: the shop | run out | | of flour || Lena | bake | nothing
        before: we | buy | the strawberries || the market | close |
        if: you | order | two cakes || the third one | be | free
        but: the bread | look | plain || it | taste | wonderful
    """,
    states="""
        the bread | still warm / almost gone / from yesterday
        the queue | very long / shorter than yesterday / out of the door
        the strawberries | ripe / too expensive / from the valley
        the shop assistant | friendly / the baker's daughter / on holiday
    """,
    places="""
        a wasp / a spider | in the shop window
        fresh rolls / cheese tarts | on the counter
        a long queue | outside the bakery
    """,
    comparisons="""
        the rye bread | heavy | the white loaf
        the market | cheap | the supermarket
        the small cakes | popular | the big ones
    """,
)

CLINIC = Scene(
    name="clinic",
    people="the vet / the nurse / Dr Amari / the receptionist / an old farmer / the owner of the dog",
    activities="""
        the vet / Dr Amari | examine | the lame horse / a nervous cat / the puppy's ear | on the table \
            / in the stable
        the nurse / the vet | bandage | the paw / a broken wing | with great care
        the nurse / the receptionist | weigh | the puppies / the rabbit | on the kitchen scales
        the nurse / a volunteer | feed | the orphaned lambs / two sick owls | with a bottle / by hand
        the receptionist / the vet | call | the owner / the laboratory | from the office
        the nurse / a trainee | disinfect | the cages / the table | with hot water
        Dr Amari / a trainee | check | the blood test / the temperature | under the microscope \
            / for the second time
        the nurse / the receptionist | comfort | the frightened dog / a little girl | in the waiting room
    """,
    incidents="""
        the parrot / a young fox | bite | the nurse / the vet | in the hand
        the puppy / the neighbour's dog | swallow | a button / a rubber ball / two socks |
        the pony / my cat | break | a leg | on the ice
        the old cat / the horse | lose | a lot of weight |
    """,
    habits="""
        the clinic | close | | at noon / on public holidays
        Dr Amari | visit | the farms | by car
        our cat | sleep | | on the printer
        the receptionist | bring | biscuits | for the dogs
    """,
    sequences="""
        the vet: put on | gloves ; calm | the owner ; examine | the cat
        Dr Amari: clean | the wound ; give | an injection ; write | a bill
        the nurse: open | the basket ; lift out | the rabbit
    """,
    links="""
        because: the nurse | wear | thick gloves || the parrot | bite | 
        because: the dog | limp | || it | step | | on a nail
        when: all the dogs | bark | || the door | open |
        while: the girl | hold | the rabbit || the vet | cut | its claws
        although: the horse | recover | | quickly || it | be | very old
        so: the receptionist | be | away || Dr Amari | answer | the phone
        if: the wound | be | red || you | call | the vet | today
        until: the owner | wait | | in the corridor || the puppy | wake up |
    """,
    states="""
        the cat | afraid of the vet / much better today / under the table
        the waiting room | full of dogs / noisy / empty at last
        the vet | at a farm / gentle with animals / busy until four
        the operation | a success / more difficult than usual / free of charge
    """,
    places="""
        a parrot / a hedgehog | in the waiting room
        a scratch | on the nurse's hand
        no appointments | before Tuesday
    """,
    comparisons="""
        the kitten | brave | the big dog
        the new vaccine | safe | the old one
        the second operation | easy | the first
    """,
)
