"""Scenes at home and nearby: the kitchen, the garden, the weather and moving house."""

from sample_data.scenes import Scene

KITCHEN = Scene(
    name="kitchen",
    people="the cook / my grandmother / Uncle Pavel / our neighbour / the children / my sister",
    activities="""
        peel | the potatoes / two onions / a bowl of apples | with a sharp knife / at the kitchen table
        bake | a chocolate cake / the bread / a plum tart | in the small oven / for the neighbours
        stir | the soup / the rice pudding | with a wooden spoon
        chop | the parsley / three carrots | on the big board / very finely
        wash up | the plates / the greasy pan | in hot water / without help
        set | the table | for eight people / with the good plates
        fry | the mushrooms / some garlic / four eggs | in butter / over a low heat
        taste | the sauce / the lentil soup | with a clean spoon
    """,
    incidents="""
        burn | the toast / the first pancake / the onions |
        forget | the salt / the recipe / the pan on the stove |
        drop | a jar of honey / the best teapot | on the floor
        cut | a finger | on the grater
    """,
    habits="""
        my grandmother | make | dumplings | for the whole family
        we | eat | fish | on Fridays
        Uncle Pavel | put | too much pepper | in the stew
        the oven | take | twenty minutes | in the cold kitchen
    """,
    sequences="""
        wash | the rice ; boil | the water ; add | a pinch of salt
        melt | the butter ; beat | three eggs ; pour | the batter | into the pan
        turn off | the gas ; cover | the pot ; lay | the table
    """,
    links="""
        because: the cake | collapse | || somebody | open | the oven door | too early
        because: the soup | taste | salty || the cook | add | salt | twice
        when: the whole kitchen | smell | wonderful || my sister | open | the oven
        while: the milk | boil over | || we | argue | | about the recipe
        so: we | have | no butter || Uncle Pavel | use | olive oil
        until: you | knead | the dough || it | be | soft and smooth
        before: the children | eat | all the cherries || the tart | be | ready
        but: the stew | look | strange || it | taste | delicious
        if: the dough | be | too dry || you | need | some more water
    """,
    states="""
        the soup | too salty / still hot / ready at last
        the plum tart | a family recipe / better than the cake / for your birthday
        these knives | very sharp / a present from my aunt / older than my sister
        the kitchen | a mess / small but cosy / full of steam
    """,
    places="""
        half a loaf / plenty of cheese | in the cupboard
        a hole | in the pan / in my apron
        two spoons of sugar | in your coffee
    """,
    comparisons="""
        home-made bread | good | the bread from the shop
        the red onions | sweet | the white ones
        this recipe | complicated | the last one
    """,
)

GARDEN = Scene(
    name="garden",
    people="the gardener / my father / Mrs Okafor / both neighbours / a friend from work / the old man",
    activities="""
        plant | a row of leeks / the young cherry tree / some tulip bulbs | along the fence \
            / in the far corner
        dig over | the vegetable bed / the heavy soil | with a fork
        water | the tomatoes / the seedlings | in the greenhouse / with a leaky can
        pick | the ripe plums / a basket of beans | for the market / from the tall ladder
        mend | the garden gate / the greenhouse roof | with old planks
        prune | the roses / the apple trees | with new shears / very hard
        rake up | the leaves / the cut grass | under the walnut tree
        paint | the shed / the wooden bench | pale blue
    """,
    incidents="""
        find | a hedgehog / a nest with four eggs / an old coin | under the hedge / behind the shed
        lose | half the potatoes / the key to the shed |
        notice | a strange smell / the first swallows | near the compost heap
        step | | on the rake / into the pond
    """,
    habits="""
        the frogs | return | | to the pond
        Mrs Okafor | grow | peppers and pumpkins | in the greenhouse
        slugs | eat | the young lettuce | at night
        the plums | ripen | | in August
    """,
    sequences="""
        dig | a deep hole ; add | some compost ; plant | the tree
        pull out | the weeds ; throw | them | on the heap
        fill | the can ; water | the beans ; go | | indoors
    """,
    links="""
        because: the beans | die | || we | plant | them | in March
        because: the old man | build | a fence || the deer | eat | his roses
        when: the birds | fly off | || the cat | climb | | onto the roof
        although: the tomatoes | ripen | | slowly || the summer | be | very hot
        so: the hose | leak | || my father | carry | the water | in buckets
        after: the garden | look | different || the storm | break | the walnut tree
        if: you | pick | the beans | often || the plants | produce | more
        while: our neighbour | mow | the lawn || we | paint | the shed
    """,
    states="""
        the soil in this bed | too sandy / full of stones / good for carrots
        the garden gate | broken / open again / older than the house
        the roses | in full bloom / lovely this year / a gift from Mrs Okafor
        the plums | ripe / still green / very sweet
    """,
    places="""
        a pond / a wooden bench | at the end of the garden
        no frost | in May
        hundreds of ants / a family of mice | under the shed
    """,
    comparisons="""
        our pumpkins | big | the ones in the market
        the front garden | sunny | the back garden
        the second harvest | small | the first
    """,
)

WEATHER = Scene(
    name="weather",
    people="the farmer / two hikers / the fishermen / our guide / the postman / a tourist",
    activities="""
        the farmer / six soldiers | clear | the path / the village road | with a snow plough / after the storm
        follow | the marked path / the river | to the next village
        two hikers / our guide | climb | the hill / the steep path to the hut | in thick fog / without a guide
        cross | the river / the frozen lake | at the old bridge / without a guide
        dry | the wet socks / the tents | by the fire / over the stove
        the fire brigade / the farmer | pump out | the cellar / the flooded car park | with a borrowed pump
        our guide / two students | measure | the wind / the depth of the snow | at the top of the hill
        the farmer / our guide | bring in | the sheep | from the field
    """,
    incidents="""
        see | a double rainbow / lightning over the lake | from the hut
        lose | the path / a glove / the tent | in the snow
        hear | the thunder / the wind in the chimney | from the tent
        slip | | on the icy steps / near the waterfall
    """,
    habits="""
        the fog | lift | | around ten
        the river | flood | the lower fields | in spring
        it | rain | | on market days
        the first snow | fall | | in November
    """,
    sequences="""
        close | the shutters ; light | a fire ; wait | | for the storm
        put on | dry clothes ; drink | hot tea
        look | | at the sky ; pack | a raincoat ; set off | 
    """,
    links="""
        because: the ferry | stay | | in the harbour || the waves | be | too high
        because: the schools | close | | early || the roads | be | icy
        when: we | leave | the hut || the rain | stop | | at last
        although: it | snow | | heavily || it | be | only October
        so: the bridge | flood | || the postman | take | the long way | round the lake
        until: the hikers | stay | | in the barn || the storm | pass | 
        if: the wind | turn | || it | rain | | in the valley
        before: our guide | check | the forecast || we | set off |
        but: the sun | shine | || the wind | be | bitterly cold
    """,
    states="""
        the weather | lovely / worse than yesterday / too wet for a picnic
        the road to the hut | closed / icy / safe again
        last winter | the coldest winter in thirty years / very mild / long and dark
        the lake | frozen / calm / as smooth as glass
    """,
    places="""
        a storm / a rainbow | over the lake
        thick fog / fresh snow | in the valley
        no clouds | in the sky
    """,
    comparisons="""
        this summer | dry | the last one
        the north side of the hill | cold | the south side
        the wind | strong | yesterday
    """,
)

MOVING = Scene(
    name="moving",
    people="the removal men / my cousin / our landlady / the electrician / Jonas / the new tenants",
    activities="""
        pack | the glasses / forty boxes of books | in newspaper / in the spare room
        carry | the sofa / the piano / a heavy wardrobe | up the stairs / through the window
        paint | the ceiling / the small bedroom | white / with a wide roller
        fix | the tap / the light in the hall / the doorbell | for free / with an old spanner
        assemble | the bed / a set of shelves | without instructions
        sweep | the attic / the empty flat | with a new broom
        hang up | the curtains / a mirror | in the living room / above the fireplace
        throw away | the old carpet / three broken chairs |
    """,
    incidents="""
        scratch | the table / the floor | by accident
        find | a box of letters / a wasps' nest | in the attic / under the floor
        break | a mirror / two plates | on the stairs
        forget | the lamp / the address |
    """,
    habits="""
        our landlady | collect | the rent | in person
        the neighbours | play | loud music | at night
        the heating | come on | | at six
        the lift | stop | | between two floors
    """,
    sequences="""
        measure | the door ; take off | the legs of the table ; push | it | into the room
        ring | the bell ; leave | the parcel | on the step
        empty | the van ; order | a pizza ; sit down | | on the boxes
    """,
    links="""
        because: the removal men | leave | the piano | outside || the stairs | be | too narrow
        because: we | have | no light || the electrician | be | on holiday
        when: the tap | break | || my cousin | turn | it
        while: Jonas | look | | after the baby || we | unpack | the boxes
        although: the new tenants | like | the flat || it | be | tiny
        so: the key | stick | | in the lock || our landlady | climb | | through the window
        after: the rooms | look | bigger || we | paint | the walls
        if: the sofa | be | too wide || we | sell | it
    """,
    states="""
        the flat | on the third floor / smaller than the house / almost empty
        the rent | too high / due on Monday / lower than last year
        our new neighbours | friendly / from Brazil / fond of loud music
        the wardrobe | too heavy for one person / a bargain / still in the van
    """,
    places="""
        a leak / a damp patch | under the sink / on the ceiling
        no space | in the van / for the piano
        a cat | in one of the boxes
    """,
    comparisons="""
        the new flat | bright | the old one
        the rent | high | last year
        the kitchen | large | the living room
    """,
)
