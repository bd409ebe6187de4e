"""German captions and English translations, written for this book.

Multi30k may be used for teaching and not passed on. What the book shows of a model
trained on it are these sentences, made in the style of that corpus: plain ones first,
then words that the corpus hardly has.
"""

CAPTIONS = (
    (
        "Eine Frau in einem roten Mantel wartet auf den Bus.",
        "A woman in a red coat is waiting for the bus.",
    ),
    (
        "Drei Jungen spielen am Strand mit einem gelben Ball.",
        "Three boys are playing with a yellow ball on the beach.",
    ),
    (
        "Auf der Straße fährt ein Mann mit Helm auf einem Fahrrad.",
        "A man with a helmet is riding a bicycle on the street.",
    ),
    (
        "Ein kleines Mädchen, das eine Brille trägt, liest ihrem Bruder ein Buch vor.",
        "A little girl wearing glasses is reading a book to her brother.",
    ),
    (
        "Ein schwarzer Hund springt über einen Baumstamm im Wald.",
        "A black dog is jumping over a log in the forest.",
    ),
    (
        "Zwei Köche schneiden in einer engen Küche Gemüse.",
        "Two cooks are cutting vegetables in a narrow kitchen.",
    ),
    (
        "Fünf Wanderer mit Regenschirmen betrachten einen Leuchtturm.",
        "Five hikers with umbrellas are looking at a lighthouse.",
    ),
    (
        "Ein Klempner repariert ein undichtes Rohr unter dem Waschbecken.",
        "A plumber is repairing a leaking pipe under the sink.",
    ),
)
